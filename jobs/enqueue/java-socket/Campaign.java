// Gives Remesa a job, waits for its end, reads the results: java -cp CLASSES Campaign ID JOB.json [REDIS_URL]
import java.net.*;
import java.nio.file.*;
import java.util.List;

class Campaign {
    static final String QUEUE = "remesa:jobs:generate";

    public static void main(String[] args) throws Exception {
        var url = args.length > 2 ? args[2] : System.getenv().getOrDefault("REDIS_URL", "redis://127.0.0.1:6379");
        try (var db = new Redis(URI.create(url))) {
            // After an IOException write it again: its id makes that safe.
            var entry = (String) db.call("XADD", QUEUE, "*", "job", Files.readString(Path.of(args[1])));
            var status = ended(db, args[0], entry);
            if (!status.get(0).equals("done")) {
                System.err.printf("%s is %s: %s: %s%n", args[0], status.get(0), status.get(1), status.get(2));
                System.exit(1);
            }
            Results.read(db, "remesa:{" + status.get(3) + "}:run:" + status.get(4), System.out::println);
        }
    }
    /** The job's status, once our entry has left the queue (before, it may be an older job's) and the job has ended. */
    static List<?> ended(Redis db, String id, String entry) throws Exception {
        while (true) {
            if (((List<?>) db.call("XRANGE", QUEUE, entry, entry)).isEmpty()) {
                for (var name : List.of("generate:" + entry, id)) { // the first is there when another job holds the id
                    var status = (List<?>) db.call("HMGET", "remesa:job:" + name,
                        "state", "error_code", "error", "campaign", "run", "finished_at");
                    if (status.get(5) != null) return status;
                }
            }
            Thread.sleep(200);
        }
    }
}
