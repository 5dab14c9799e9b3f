"""Files of rows: Parquet, CSV, JSON lines. Read with pyarrow, which is imported when a file is."""
