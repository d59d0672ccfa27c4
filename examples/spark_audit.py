"""What ``spark-submit`` takes to run an audit on a cluster: the command itself, as a file.

    spark-submit --master yarn --archives tracker-env.tar.gz#env --conf spark.pyspark.python=env/bin/python \
        examples/spark_audit.py audit hdfs:///archive --engine spark --out /mnt/shared/findings --fail-on never

The workers need this package: an environment that ``venv-pack`` packed, as here, or one that is installed on each.
What the command says on stderr ``spark-submit`` puts on stdout: take the findings from ``--out``.
Logs that are no Parquet, and ``--out``, are paths that all workers see.
"""

from projections.cli import main

if __name__ == "__main__":
    main()
