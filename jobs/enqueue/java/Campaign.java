// Gives Remesa a job, waits for its end, reads the results: java Campaign.java JOB.json [REDIS_URL]
import com.google.gson.JsonParser;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import redis.clients.jedis.JedisPooled;
import redis.clients.jedis.StreamEntryID;

public class Campaign {
    static final String QUEUE = "remesa:jobs:generate";

    public static void main(String[] args) throws Exception {
        var text = Files.readString(Path.of(args[0]));
        var job = JsonParser.parseString(text).getAsJsonObject();
        var url = args.length > 1 ? args[1] : System.getenv().getOrDefault("REDIS_URL", "redis://127.0.0.1:6379");
        try (var db = new JedisPooled(url)) {
            var id = job.get("id").getAsString();
            var entry = db.xadd(QUEUE, StreamEntryID.NEW_ENTRY, Map.of("job", text));
            var status = ended(db, id, entry);
            if (!status.get("state").equals("done")) {
                System.err.printf("%s is %s: %s: %s%n", id, status.get("state"), status.get("error_code"), status.get("error"));
                System.exit(1);
            }
            var run = "remesa:{" + job.get("campaign").getAsString() + "}:run:" + status.get("run");
            Results.read(db, run, event -> System.out.println(event.get("data")));
        }
    }

    /** The job's status, once our entry has left the queue (before, it may be an older job's) and the job has ended. */
    static Map<String, String> ended(JedisPooled db, String id, StreamEntryID entry) throws InterruptedException {
        for (Map<String, String> status = Map.of(); ; Thread.sleep(200)) {
            if (!db.xrange(QUEUE, entry, entry).isEmpty()) continue;
            status = db.hgetAll("remesa:job:generate:" + entry); // refused, when another job holds the id
            if (status.isEmpty()) status = db.hgetAll("remesa:job:" + id);
            if (status.containsKey("finished_at")) return status;
        }
    }
}
