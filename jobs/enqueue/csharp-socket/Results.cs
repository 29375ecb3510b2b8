using System;
using System.Collections.Generic;

static class Results {
    const string Stream = "remesa:results", Group = "my-crm";

    /// <summary>Hands each event to store and then acknowledges it, until the run is over and nothing is left.</summary>
    public static void Read(Redis db, string runKey, Action<string> store) {
        try { db.Call("XGROUP", "CREATE", Stream, Group, "0", "MKSTREAM"); }
        catch (InvalidOperationException e) when (e.Message.StartsWith("BUSYGROUP")) { } // it is there already
        bool over;
        int count;
        do {
            over = (string)db.Call("HGET", runKey, "state") != "running";
            count = 0;
            foreach (var cursor in new[] { "0", ">" }) { // what this consumer took and did not acknowledge, then what is new
                var streams = (List<object>)db.Call("XREADGROUP", "GROUP", Group, Environment.MachineName,
                    "COUNT", "100", "BLOCK", "1000", "STREAMS", Stream, cursor);
                if (streams == null) continue; // a second without an event
                foreach (List<object> entry in (List<object>)((List<object>)streams[0])[1]) {
                    var fields = (List<object>)entry[1]; // event, <id>, type, <kind>, data, <JSON>
                    if (fields != null) store((string)fields[5]);
                    db.Call("XACK", Stream, Group, (string)entry[0]);
                    count++;
                }
            }
        } while (!over || count > 0);
    }
}
