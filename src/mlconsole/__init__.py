"""mlconsole: a terminal operations console for machine-learning services on Kubernetes."""

__version__ = "0.1.0"
