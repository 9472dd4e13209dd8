"""The ``pixlog`` command: look at run directories and at the daemons that write them."""
