import java.net.InetAddress;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import redis.clients.jedis.JedisPooled;
import redis.clients.jedis.StreamEntryID;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.XReadGroupParams;

class Results {
    static final String STREAM = "remesa:results", GROUP = "my-crm";

    /** Hands each event to {@code store} and then acknowledges it, until the run is over and nothing is left. */
    static void read(JedisPooled db, String runKey, Consumer<Map<String, String>> store) throws Exception {
        try {
            db.xgroupCreate(STREAM, GROUP, new StreamEntryID(), true);
        } catch (JedisDataException e) {
            if (!e.getMessage().startsWith("BUSYGROUP")) throw e; // else it is there already
        }
        var consumer = InetAddress.getLocalHost().getHostName();
        var limits = XReadGroupParams.xReadGroupParams().count(100).block(1000);
        var mine = new StreamEntryID(); // 0: what this consumer took and did not acknowledge
        var over = false;
        for (long count = 0; !over || count > 0;) {
            over = !"running".equals(db.hget(runKey, "state"));
            count = 0;
            for (var cursor : List.of(mine, StreamEntryID.XREADGROUP_UNDELIVERED_ENTRY)) { // first those, then what is new
                var streams = db.xreadGroup(GROUP, consumer, limits, Map.of(STREAM, cursor));
                if (streams == null) continue; // a second without an event
                for (var entry : streams.get(0).getValue()) {
                    if (entry.getFields() != null) store.accept(entry.getFields());
                    count += db.xack(STREAM, GROUP, entry.getID());
                }
            }
        }
    }
}
