"""What is asked: operations, their arguments and their answers."""
