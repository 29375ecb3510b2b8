// Gives Remesa a job, waits for its end, reads the results: mono Campaign.exe ID JOB.json [REDIS_URL]
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;

static class Campaign {
    const string Queue = "remesa:jobs:generate";

    static int Main(string[] args) {
        var url = args.ElementAtOrDefault(2) ?? Environment.GetEnvironmentVariable("REDIS_URL") ?? "redis://127.0.0.1:6379";
        using (var db = new Redis(new Uri(url))) {
            // When no reply came, write it again: its id makes that safe.
            var entry = (string)db.Call("XADD", Queue, "*", "job", File.ReadAllText(args[1]));
            var status = Ended(db, args[0], entry);
            if ((string)status[0] != "done") {
                Console.Error.WriteLine($"{args[0]} is {status[0]}: {status[1]}: {status[2]}");
                return 1;
            }
            Results.Read(db, $"remesa:{{{status[3]}}}:run:{status[4]}", Console.WriteLine);
            return 0;
        }
    }

    /// <summary>The job's status, once our entry has left the queue (before, it may be an older job's) and it has ended.</summary>
    static List<object> Ended(Redis db, string id, string entry) {
        for (; ; Thread.Sleep(200)) {
            if (((List<object>)db.Call("XRANGE", Queue, entry, entry)).Count > 0) continue;
            foreach (var name in new[] { $"generate:{entry}", id }) { // the first is there when another job holds the id
                var status = (List<object>)db.Call("HMGET", $"remesa:job:{name}",
                    "state", "error_code", "error", "campaign", "run", "finished_at");
                if (status[5] != null) return status;
            }
        }
    }
}
