"""What is generated from a chart's documented values: schema, README table, version.

Pure functions over the chart's files: nothing here starts Helm or writes to disk.
"""
