"""What the tables mean: their columns, their current rows, the work already done and how items are split."""
