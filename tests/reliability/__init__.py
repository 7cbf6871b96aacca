"""That nothing raised is lost: killed at any moment, in front of receivers that do their worst."""
