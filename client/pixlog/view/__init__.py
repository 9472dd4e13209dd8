"""The viewer: a local web page on run directories.  Needs the extra ``view``."""
