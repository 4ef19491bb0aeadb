"""What `edge-mcnn convert` costs, and what its modes and operators bring."""
