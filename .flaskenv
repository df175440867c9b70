# Read by the `flask` command. Nothing secret belongs here: this file is committed.
FLASK_APP=application
