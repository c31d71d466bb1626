"""The commands, one module for each noun. They parse, ask and show; what is asked is decided elsewhere."""
