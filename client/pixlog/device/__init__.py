"""Arrays that lie on an accelerator, and their way to host memory while training goes on."""
