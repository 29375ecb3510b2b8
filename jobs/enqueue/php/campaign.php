<?php // Gives Remesa a job, waits for its end, reads the results: php campaign.php JOB.json [REDIS_URL]
declare(strict_types=1);
const QUEUE = 'remesa:jobs:generate', RESULTS = 'remesa:results', GROUP = 'my-crm';

/** The job's status, once our entry has left the queue (before, it may be an older job's) and the job has ended. */
function ended(Redis $db, string $id, string $entry): array {
    for ($tries = 0; $tries < 3000; $tries++, usleep(200_000)) {
        if ($db->xRange(QUEUE, $entry, $entry)) continue;
        foreach (["generate:$entry", $id] as $name) { // an id that another job holds is refused under the entry's name
            $status = $db->hGetAll("remesa:job:$name");
            if (in_array($status['state'] ?? '', ['done', 'dead', 'rejected'], true)) return $status;
        }
    }
    throw new RuntimeException("$id has not ended after 10 minutes");
}
/** Hands each event to $store and then acknowledges it, until the run is over and nothing is left. */
function readResults(Redis $db, string $runKey, callable $store): void {
    $db->xGroup('CREATE', RESULTS, GROUP, '0', true); // false when it is there already
    do {
        [$over, $count] = [$db->hGet($runKey, 'state') !== 'running', 0];
        foreach (['0', '>'] as $cursor) { // what this consumer took and did not acknowledge, then what is new
            $reply = $db->xReadGroup(GROUP, gethostname(), [RESULTS => $cursor], 100, 1000);
            if ($reply === false) throw new RuntimeException((string) $db->getLastError());
            foreach ($reply[RESULTS] ?? [] as $entry => $event) {
                if ($event) $store($event['data']);
                $count += $db->xAck(RESULTS, GROUP, [$entry]);
            }
        }
    } while (!$over || $count > 0);
}
[$url, $db] = [$argv[2] ?? getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379', new Redis()];
$at = parse_url($url) ?: ['host' => substr($url, strlen('unix://'))];
$db->connect($at['host'], $at['port'] ?? -1); // -1: the usual port, or none of a socket
$job = json_decode(file_get_contents($argv[1]), flags: JSON_THROW_ON_ERROR);
$status = ended($db, $job->id, $db->xAdd(QUEUE, '*', ['job' => json_encode($job)])); // tried again: the id makes it safe
if ($status['state'] !== 'done') {
    fwrite(STDERR, "$job->id is {$status['state']}: {$status['error_code']}: {$status['error']}\n");
    exit(1);
}
readResults($db, "remesa:{{$job->campaign}}:run:" . ($status['run'] ?? ''), fn (string $data) => print("$data\n"));
