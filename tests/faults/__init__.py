"""What must survive whatever dies: real parts, broken on purpose."""
