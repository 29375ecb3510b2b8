import java.io.IOException;
import java.net.InetAddress;
import java.util.List;
import java.util.function.Consumer;

class Results {
    static final String STREAM = "remesa:results", GROUP = "my-crm";

    /** Hands each event to {@code store} and then acknowledges it, until the run is over and nothing is left. */
    static void read(Redis db, String runKey, Consumer<String> store) throws IOException {
        try {
            db.call("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM");
        } catch (IOException e) {
            if (!e.getMessage().startsWith("BUSYGROUP")) throw e; // else it is there already
        }
        var consumer = InetAddress.getLocalHost().getHostName();
        boolean over;
        int count;
        do {
            over = !"running".equals(db.call("HGET", runKey, "state"));
            count = 0;
            for (var cursor : List.of("0", ">")) { // what this consumer took and did not acknowledge, then what is new
                var streams = (List<?>) db.call("XREADGROUP", "GROUP", GROUP, consumer,
                    "COUNT", "100", "BLOCK", "1000", "STREAMS", STREAM, cursor);
                if (streams == null) continue; // a second without an event
                for (var item : (List<?>) ((List<?>) streams.get(0)).get(1)) {
                    var entry = (List<?>) item; // its id, and event, <id>, type, <kind>, data, <JSON>
                    if (entry.get(1) != null) store.accept((String) ((List<?>) entry.get(1)).get(5));
                    db.call("XACK", STREAM, GROUP, (String) entry.get(0));
                    count++;
                }
            }
        } while (!over || count > 0);
    }
}
