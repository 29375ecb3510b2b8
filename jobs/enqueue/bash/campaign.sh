#!/usr/bin/env bash
# Gives Remesa a job, waits for its end, reads the results: campaign.sh JOB.json [REDIS_URL]
set -euo pipefail
queue=remesa:jobs:generate results=remesa:results group=my-crm url=${2:-${REDIS_URL:-redis://127.0.0.1:6379}}
if [[ $url == unix://* ]]; then at=(-s "${url#unix://}"); else at=(-u "$url"); fi
redis() { redis-cli --raw -e "${at[@]}" "$@"; } # -e: an error reply is a failure
id=$(jq -er .id "$1")

# Writes the job; when no reply came, once more: its id makes that safe.
entry=$(redis -x XADD $queue '*' job <"$1") || entry=$(redis -x XADD $queue '*' job <"$1")

# The job has ended when its entry has left the queue (before, the status may be an older job's) and a status says so.
# An id that another job holds is refused under the name of the entry.
ended() {
    [[ -z $(redis XRANGE $queue "$entry" "$entry") ]] || return 1
    for job in "generate:$entry" "$id"; do
        mapfile -t status < <(redis HMGET "remesa:job:$job" state error_code error campaign run)
        [[ ${status[0]} =~ ^(done|dead|rejected)$ ]] && return
    done
}
until ended; do
    ((SECONDS < 600)) || { echo "$id has not ended after $SECONDS s" >&2; exit 2; }
    sleep 0.$((SECONDS < 5 ? 1 : 9))
done
[[ ${status[0]} == done ]] || { echo "$id is ${status[0]}: ${status[1]}: ${status[2]}" >&2; exit 1; }

# Reads every event until the run is over and nothing is left: what this consumer took and did not acknowledge, then
# what is new. A reply is one value a line: entry id, `event`, its id, `type`, its kind, `data`, the event.
redis XGROUP CREATE $results $group 0 MKSTREAM &>/dev/null || true # it is there already
until [[ ${state-running} != running && ${#entries[@]} == 0 ]]; do
    state=$(redis HGET "remesa:{${status[3]}}:run:${status[4]-}" state) entries=()
    for cursor in 0 '>'; do
        while read -r line; do
            if [[ $line =~ ^[0-9]+-[0-9]+$ ]]; then entries+=("$line"); fi
            if [[ $line == {* ]]; then echo "$line"; fi # store it here: then it may be acknowledged
        done < <(redis XREADGROUP GROUP $group "$HOSTNAME" COUNT 100 BLOCK 1000 STREAMS $results "$cursor")
        [[ ${#entries[@]} == 0 ]] || redis XACK $results $group "${entries[@]}" >/dev/null
    done
done
