package main

import (
	"log"
	"os"

	"github.com/gomodule/redigo/redis"
)

const results, group = "remesa:results", "my-crm"

// readResults hands each event to store and then acknowledges it, until the run is over and nothing is left.
func readResults(db redis.Conn, runKey string, store func(data string)) {
	db.Do("XGROUP", "CREATE", results, group, "0", "MKSTREAM") // an error when it is there already
	for over, count := false, 0; !over || count > 0; {
		over, count = must(redis.Strings(db.Do("HMGET", runKey, "state")))[0] != "running", 0
		for _, cursor := range []string{"0", ">"} { // what this consumer took and did not acknowledge, then what is new
			streams, err := redis.Values(db.Do("XREADGROUP", "GROUP", group, must(os.Hostname()),
				"COUNT", 100, "BLOCK", 1000, "STREAMS", results, cursor))
			if err == redis.ErrNil {
				break // a second has passed without an event
			}
			for _, entry := range must(streams, err)[0].([]any)[1].([]any) {
				event, _ := redis.StringMap(entry.([]any)[1], nil)
				if data, there := event["data"]; there {
					store(data)
				}
				count += must(redis.Int(db.Do("XACK", results, group, entry.([]any)[0])))
			}
		}
	}
}

// must ends the program on an error. It may be started again at any time: the id of the job makes that safe.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
