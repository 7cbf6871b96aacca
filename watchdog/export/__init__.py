"""What the rules in force are for other programs: Prometheus, Alertmanager, Grafana."""
