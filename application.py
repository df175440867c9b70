"""WSGI entry: `flask run`, `granian` and `gunicorn` serve `application:application`."""

from app import create_app

application = create_app()

if __name__ == "__main__":
    # For `make run`: `flask run` without what the command line has to load.
    application.run(port=application.config["PORT"], use_reloader=False)
