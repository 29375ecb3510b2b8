"""Gives Remesa a job, waits for its end, reads the results: python campaign.py JOB.json [REDIS_URL]"""
import json, os, socket, sys, time
import redis

QUEUE, RESULTS, GROUP, CONSUMER = "remesa:jobs:generate", "remesa:results", "my-crm", socket.gethostname()

def wait(db, job_id, entry, seconds=600):
    """The job's status, once our entry has left the queue (before, the status may be an older job's) and it has ended."""
    deadline, pause = time.monotonic() + seconds, 0.05
    while time.monotonic() < deadline:
        if not db.xrange(QUEUE, entry, entry):  # an id that another job holds is refused under the entry's name
            status = db.hgetall(f"remesa:job:generate:{entry}") or db.hgetall(f"remesa:job:{job_id}")
            if status.get("state") in ("done", "dead", "rejected"):
                return status
        time.sleep(pause)
        pause = min(pause * 1.5, 2)
    raise TimeoutError(f"{job_id} has not ended after {seconds} s")

def read_results(db, run_key, store):
    """Hands every event to `store`, until the run is over and nothing is left."""
    try:
        db.xgroup_create(RESULTS, GROUP, "0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error): raise  # else: it is there already
    over = count = False
    while not over or count:
        over, count = db.hget(run_key, "state") != "running", 0
        for cursor in ("0", ">"):  # what this consumer took and did not acknowledge, then what is new
            for _, entries in db.xreadgroup(GROUP, CONSUMER, {RESULTS: cursor}, count=100, block=1000):
                for entry, event in entries:
                    if event: store(event)  # commit it here: then it may be acknowledged
                    count += db.xack(RESULTS, GROUP, entry)

with open(sys.argv[1]) as file: job = json.load(file)
url = sys.argv[2] if len(sys.argv) > 2 else os.getenv("REDIS_URL", "redis://127.0.0.1:6379")
db = redis.from_url(url, decode_responses=True)
entry = db.xadd(QUEUE, {"job": json.dumps(job)})  # the client tries again after a lost reply: the id makes that safe
status = wait(db, job["id"], entry)
if status["state"] != "done": sys.exit(f"{job['id']} is {status['state']}: {status['error_code']}: {status['error']}")
read_results(db, f"remesa:{{{job['campaign']}}}:run:{status.get('run')}", lambda event: print(event["data"]))
