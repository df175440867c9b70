"""What grows with the number of processes, and what must not grow with the number of rows."""

from flask_security import hash_password
from sqlalchemy import Integer, cast, func, insert, literal, select
from sqlalchemy import Text as SqlText

from app.auth.models import User
from app.extensions import db
from app.jobs.models import SUCCEEDED, Job, moment
from app.models import utcnow
from app.tasks import send_email
from benchmarks import commands, jobs
from benchmarks.figures import Figures
from benchmarks.stand import CORES, Stand
from benchmarks.visitors import PASSWORD, Refused, measure, post_forms, signed_in

WORKERS = (1, 2, 4)
ARGUMENTS = {"args": list(jobs.LETTER), "kwargs": {}}
HOME, SIGN_IN = "home page, signed in", "sign-in form, sent"
ENQUEUE, JOBS = "commit of a user and a job", "durable jobs"


def name_of(what: str, workers: int, rows: int) -> str:
    """Return what a figure is called."""
    return f"{what}: {workers} processes, {rows:,} rows"


def run(stand: Stand, figures: Figures) -> None:
    """Measure few rows with each number of processes, then more rows with two."""
    least, *more = stand.scale.rows
    for rows in stand.scale.rows:
        fill(stand, rows)
    settings = [(workers, least) for workers in WORKERS] + [(CORES, rows) for rows in more]
    first = 2
    for _ in range(stand.scale.rounds):
        for workers, rows in settings:
            measure_setting(stand, figures, (workers, rows), first)
            first += stand.scale.sign_ins


def measure_setting(stand: Stand, figures: Figures, setting: tuple[int, int], first: int) -> None:
    """Measure one number of processes and rows; users from number `first` on sign in."""
    workers, rows = setting
    database, least = f"rows_{rows}", stand.scale.rows[0]

    def note(what: str, value: float, unit: str) -> None:
        figures.note(name_of(what, *setting), value, unit, name_of(what, CORES, least))

    with stand.web(commands.WEB, database, workers=workers) as tree:
        cookie = signed_in(tree.root, email_of(1))
        speed = measure(f"{tree.root}/", stand.scale.few_seconds, cookie)
        note(HOME, speed, "requests/s")
        emails = [email_of(number) for number in range(first, first + stand.scale.sign_ins)]
        posted = post_forms(tree.root, "/users/login", emails)
        if posted.refused:
            raise Refused(f"{posted.refused} sign-ins of {len(emails)} were refused.")
        note(SIGN_IN, len(emails) / posted.elapsed, "requests/s")
    if workers == CORES:
        note(ENQUEUE, jobs.enqueueing(stand, database)[jobs.WITH_JOB], "ms")
    note(JOBS, jobs.speed_of_jobs(stand, database, workers), "jobs/s")


def email_of(number: int) -> str:
    """Return the address of a user."""
    return f"user{number}@example.com"


def fill(stand: Stand, rows: int) -> None:
    """Make a database with so many users, who have one password, and so many finished jobs."""
    database = f"rows_{rows}"
    stand.create_database(database)
    number = func.generate_series(1, rows).column_valued("number")
    name = literal("user").concat(cast(number, SqlText))
    with stand.app(database).app_context():
        password = literal(hash_password(PASSWORD))
        users = select(name.concat("@example.com"), name, password, literal(utcnow()))
        columns = ["email", "fs_uniquifier", "password", "confirmed_at"]
        db.session.execute(insert(User).from_select(columns, users))
        finished = moment(cast(number % 500_000, Integer) * -1)
        values = {
            "id": func.gen_random_uuid(),
            "task": literal(send_email.name),
            "queue": literal("mail"),
            "arguments": literal(ARGUMENTS, Job.arguments.type),
            "state": literal(SUCCEEDED),
            "max_attempts": literal(15),
            "owner": cast(number, SqlText),
            "due_at": finished,
            "finished_at": finished,
        }
        db.session.execute(insert(Job).from_select(list(values), select(*values.values())))
        db.session.commit()
        db.engine.dispose()
    stand.execute(database, "VACUUM ANALYZE", "CHECKPOINT")
