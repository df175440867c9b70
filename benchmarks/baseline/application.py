"""WSGI entry of the usual design: `benchmarks.baseline.application:application`."""

from benchmarks.baseline import create_app

application = create_app()
