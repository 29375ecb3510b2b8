"""Keeps tables of PostgreSQL in step with Remesa's results stream.

    python keep_in_step.py --redis redis://127.0.0.1:6379 --postgres "host=/run/postgresql dbname=crm"

Events come at least once; their effect is exactly once. A batch is written in one transaction and acknowledged after the
commit, so that whatever ends this program, at any instruction, the batch is read again, by itself or by another one that
claims it, and changes nothing the second time:

* the row of a delivery gives way only to `delivered`, to a later attempt, in the same attempt to a state of higher rank, or
  to a later one of the same rank: repeated and overtaken events find the better row there;
* an event about orders or a run says only which; they are read from Redis as they stand, under a lock that any number of
  these programs share, so that a reading never overwrites a later one.

An error ends the program: start it again (systemd: Restart=always).
"""

import argparse
import json
import os
import socket
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import psycopg
import redis

BATCH = 500
RANKS = {"unknown": 2, "sent": 3, "failed": 4, "skipped": 4, "undelivered": 4, "expired": 4, "delivered": 5}

DELIVERY = """
    INSERT INTO deliveries (campaign, run, number, contact, attempt, rank, state, reason, provider_id, at, event)
    VALUES (%(campaign)s, %(run)s, %(number)s, %(contact)s, %(attempt)s, %(rank)s, %(state)s, %(reason)s,
            %(provider_id)s, %(at)s, %(event)s)
    ON CONFLICT (campaign, run, number, contact) DO UPDATE SET
        attempt = excluded.attempt, rank = excluded.rank, state = excluded.state, reason = excluded.reason,
        provider_id = excluded.provider_id, at = excluded.at, event = excluded.event
    WHERE (excluded.rank = 5, excluded.attempt, excluded.rank, excluded.at)
        > (deliveries.rank = 5, deliveries.attempt, deliveries.rank, deliveries.at)"""

FORGET = "UPDATE deliveries SET provider_id = NULL WHERE campaign = %s AND number = %s"

ORDER = """
    INSERT INTO orders (campaign, number, key, reference, concept, state, amount, currency, paid, refunded, contact,
                        short_code, created_at, expires_at)
    VALUES (%(campaign)s, %(number)s, %(key)s, %(reference)s, %(concept)s, %(state)s, %(amount)s, %(currency)s, %(paid)s,
            %(refunded)s, %(contact)s, %(short_code)s, %(created_at)s, %(expires_at)s)
    ON CONFLICT (campaign, number) DO UPDATE SET
        key = excluded.key, reference = excluded.reference, concept = excluded.concept, state = excluded.state,
        amount = excluded.amount, currency = excluded.currency, paid = excluded.paid, refunded = excluded.refunded,
        contact = excluded.contact, short_code = excluded.short_code, created_at = excluded.created_at,
        expires_at = excluded.expires_at"""

RUN = """
    INSERT INTO runs (campaign, run, state, first, last) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (campaign, run) DO UPDATE SET state = excluded.state, first = excluded.first, last = excluded.last"""


def instant(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc)


class Reader:
    """The results stream, as one consumer of a group sees it."""

    def __init__(self, db, options):
        self.db, self.stream, self.options = db, f"{options.prefix}:results", options
        self.left = True  # there may be entries that this consumer took and did not acknowledge
        self.claim_at = 0.0
        try:
            db.xgroup_create(self.stream, options.group, "0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # it is there already
                raise

    def batch(self):
        """The next entries: what this consumer was killed with, what a dead one left, what is new. Empty: nothing came."""
        if self.left:
            entries = self.read("0")
            self.left = bool(entries)
            if entries:
                return entries
        return self.claim() or self.read(">", block=2000)

    def read(self, cursor, block=None):
        options = self.options
        reply = self.db.xreadgroup(
            options.group, options.consumer, {self.stream: cursor}, count=options.batch, block=block
        )
        return reply[0][1] if reply else []

    def claim(self):
        """Entries that their consumer has not acknowledged for so long that it must be dead."""
        if time.monotonic() < self.claim_at:
            return []
        options = self.options
        idle_ms = options.claim_after * 1000
        _, entries, _ = self.db.xautoclaim(
            self.stream, options.group, options.consumer, idle_ms, "0-0", count=options.batch
        )
        if not entries:
            self.claim_at = time.monotonic() + options.claim_after / 2
        return entries

    def acknowledge(self, entries):
        self.db.xack(self.stream, self.options.group, *[entry for entry, _ in entries])


class Mirror:
    """The tables, and where they are read from."""

    def __init__(self, pg, db, options):
        self.pg, self.db, self.prefix = pg, db, options.prefix
        with pg.transaction():
            pg.execute("SELECT pg_advisory_xact_lock(0)")  # two that start at once would both create the tables
            pg.execute(Path(__file__).with_name("schema.sql").read_text())

    def write(self, events):
        """Everything that the events tell, in one transaction."""
        events = [event for event in events if event.get("campaign")]
        with self.pg.transaction(), self.pg.cursor() as cursor:
            for campaign in sorted({event["campaign"] for event in events}):
                # In one order everywhere, so that two of these programs never wait for each other.
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [campaign])
            for campaign, numbers in changed_orders(events).items():
                cursor.executemany(ORDER, self.orders(campaign, sorted(numbers)))
            for campaign, run in {(event["campaign"], event["run"]) for event in events if event["type"] == "run"}:
                cursor.executemany(RUN, self.runs(campaign, run))
            # A message to a case is about no row of these tables, even where it says what is due of an order.
            deliveries = [event for event in events if event["type"] == "delivery" and "case" not in event]
            cursor.executemany(DELIVERY, [delivery(event) for event in deliveries])
            forgotten = [event for event in events if event["type"] == "order" and event.get("forgotten")]
            cursor.executemany(FORGET, [(event["campaign"], event["order"]) for event in forgotten])

    def orders(self, campaign, numbers):
        """The rows of these orders, as they stand now. What its retention has removed is left as the table has it."""
        base = f"{self.prefix}:{{{campaign}}}"
        currency = self.db.hget(f"{base}:campaign", "currency")
        for first in range(0, len(numbers), BATCH):
            for text in self.db.mget([f"{base}:order:{number}" for number in numbers[first : first + BATCH]]):
                if text:
                    order = json.loads(text)
                    yield {
                        "campaign": campaign,
                        "number": order["number"],
                        "key": order["key"],
                        "reference": order.get("reference", ""),
                        "concept": order.get("concept", ""),
                        "state": order["state"],
                        "amount": order["amount"],
                        "currency": order.get("currency", currency),
                        "paid": order.get("paid_minor", 0),
                        "refunded": order.get("refunded_minor", 0),
                        "contact": order.get("contact"),
                        "short_code": order.get("short_code"),
                        "created_at": instant(order["created_at"]),
                        "expires_at": instant(order["expires_at"]),
                    }

    def runs(self, campaign, run):
        key = f"{self.prefix}:{{{campaign}}}:run:{run}"
        state, first, last, audience = self.db.hmget(key, "state", "first", "end", "audience")
        return [(campaign, run, state, int(first), int(last))] if state and audience != "cases" else []


def changed_orders(events):
    """The numbers of the orders that the events are about, by campaign."""
    changed = {}
    for event in events:
        if event["type"] == "order":
            changed.setdefault(event["campaign"], set()).add(event["order"])
        elif event["type"] == "orders":  # a stretch that was generated
            changed.setdefault(event["campaign"], set()).update(range(event["first"], event["last"] + 1))
    return changed


def delivery(event):
    # An event of a delivery is called <campaign>/<run>/<order>.<contact>/<attempt>/<state>.
    contact = event["event"].split("/")[2].split(".")[1]
    return {
        "campaign": event["campaign"],
        "run": event["run"],
        "number": event["order"],
        "contact": int(contact),
        "attempt": event["attempt"],
        "rank": RANKS.get(event["state"], 0),
        "state": event["state"],
        "reason": event.get("reason"),
        "provider_id": event.get("provider_id"),
        "at": instant(event["at"]),
        "event": event["event"],
    }


def arguments():
    parser = argparse.ArgumentParser(description="Keeps tables of PostgreSQL in step with Remesa's results stream.")
    parser.add_argument("--redis", default=os.getenv("REDIS_URL", "redis://127.0.0.1:6379"), help="or REDIS_URL")
    parser.add_argument("--postgres", default=os.getenv("DATABASE_URL", ""), help="or DATABASE_URL, or libpq's PG* variables")
    parser.add_argument("--prefix", default="remesa", help="of the daemon's keys (remesa)")
    parser.add_argument("--group", default="postgresql", help="one for each database (postgresql)")
    parser.add_argument("--consumer", default=socket.gethostname(), help="lasting, one for each of these programs (the host)")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"events in one transaction ({BATCH})")
    parser.add_argument("--claim-after", type=int, default=60, help="seconds until another consumer counts as dead (60)")
    parser.add_argument("--until-empty", action="store_true", help="end when nothing is left, instead of waiting")
    return parser.parse_args()


def main():
    options = arguments()
    db = redis.from_url(options.redis, decode_responses=True)
    with psycopg.connect(options.postgres, autocommit=True) as pg:
        reader, mirror = Reader(db, options), Mirror(pg, db, options)
        while True:
            entries = reader.batch()
            if entries:
                # An entry that the stream was trimmed of while it was pending has no fields any more.
                mirror.write([json.loads(fields["data"]) for _, fields in entries if fields])
                reader.acknowledge(entries)  # after the commit
            elif options.until_empty:
                return


if __name__ == "__main__":
    try:
        main()
    except (redis.RedisError, psycopg.Error) as error:
        sys.exit(f"{type(error).__name__}: {error}: start it again, it goes on where it was")
