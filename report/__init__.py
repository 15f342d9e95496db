"""What people look at: figures and the results page, made from fold records alone."""
