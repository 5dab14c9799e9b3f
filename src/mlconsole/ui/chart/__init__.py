"""The live chart: series and marks as dots, redrawn only where they changed."""
