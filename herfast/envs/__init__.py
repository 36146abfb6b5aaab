"""Goal environments on packed bits, their Gymnasium interfaces, and adapters."""
