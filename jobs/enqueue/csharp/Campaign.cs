// Gives Remesa a job, waits for its end, reads the results: dotnet run JOB.json [HOST:PORT or !/SOCKET]
using System.Text.Json;
using StackExchange.Redis;

const string Queue = "remesa:jobs:generate", Results = "remesa:results", Group = "my-crm";
var text = File.ReadAllText(args[0]);
var job = JsonDocument.Parse(text).RootElement;
string id = job.GetProperty("id").GetString()!, campaign = job.GetProperty("campaign").GetString()!;
using var redis = await ConnectionMultiplexer.ConnectAsync(args.ElementAtOrDefault(1) ?? "127.0.0.1:6379");
var db = redis.GetDatabase();

var entry = await db.StreamAddAsync(Queue, "job", text); // write it again after an exception: the id makes that safe

// The status is certain once our entry has left the queue (before, it may be an older job's) and the job has ended.
var status = new Dictionary<RedisValue, RedisValue>();
for (; !status.ContainsKey("finished_at"); await Task.Delay(200)) {
    if ((await db.StreamRangeAsync(Queue, entry, entry)).Length > 0) continue;
    status = (await db.HashGetAllAsync($"remesa:job:generate:{entry}")).ToDictionary(); // refused: another job holds the id
    if (status.Count == 0) status = (await db.HashGetAllAsync($"remesa:job:{id}")).ToDictionary();
}
if (status["state"] != "done") {
    Console.Error.WriteLine($"{id} is {status["state"]}: {status["error_code"]}: {status["error"]}");
    return 1;
}
try { await db.StreamCreateConsumerGroupAsync(Results, Group, "0", createStream: true); }
catch (RedisServerException e) when (e.Message.StartsWith("BUSYGROUP")) { } // it is there already

status.TryGetValue("run", out var run);
var (over, count) = (false, 0L);
do { // until the run is over and nothing is left
    (over, count) = (await db.HashGetAsync($"remesa:{{{campaign}}}:run:{run}", "state") != "running", 0);
    await Task.Delay(500); // the client shares its connection, so that XREADGROUP cannot block
    foreach (var cursor in new[] { "0", ">" }) // what this consumer took and did not acknowledge, then what is new
        foreach (var item in await db.StreamReadGroupAsync(Results, Group, Environment.MachineName, cursor, 100)) {
            if (!item["data"].IsNull) Console.WriteLine((string?)item["data"]); // store it here
            count += await db.StreamAcknowledgeAsync(Results, Group, item.Id);
        }
} while (!over || count > 0);
return 0;
