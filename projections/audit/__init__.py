"""From a log straight to its findings, in one process, in several, or on Apache Spark."""
