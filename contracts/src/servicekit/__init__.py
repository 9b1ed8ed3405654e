"""What every service needs to be a good citizen: settings, logs, traces, metrics, a clean stop."""
