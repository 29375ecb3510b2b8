// Gives Remesa a job, waits for its end, reads the results: go run campaign.go results.go JOB.json [REDIS_URL]
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/gomodule/redigo/redis"
)

const queue = "remesa:jobs:generate"

func main() {
	var job struct{ ID, Campaign string }
	text := must(os.ReadFile(os.Args[1]))
	must(job, json.Unmarshal(text, &job))
	db := must(redis.DialURL(append(os.Args, os.Getenv("REDIS_URL"))[2]))
	entry := must(redis.String(db.Do("XADD", queue, "*", "job", text)))
	status := ended(db, job.ID, entry)
	if status["state"] != "done" {
		log.Fatalf("%s is %s: %s: %s", job.ID, status["state"], status["error_code"], status["error"])
	}
	readResults(db, "remesa:{"+job.Campaign+"}:run:"+status["run"], func(data string) { fmt.Println(data) })
}

// ended returns the job's status, once our entry has left the queue (before, it may be an older job's) and it has ended.
func ended(db redis.Conn, id, entry string) (status map[string]string) {
	for ; status["finished_at"] == ""; time.Sleep(200 * time.Millisecond) {
		if waiting := must(redis.Values(db.Do("XRANGE", queue, entry, entry))); len(waiting) == 0 {
			status = must(redis.StringMap(db.Do("HGETALL", "remesa:job:generate:"+entry))) // another job holds the id
			if len(status) == 0 {
				status = must(redis.StringMap(db.Do("HGETALL", "remesa:job:"+id)))
			}
		}
	}
	return status
}
