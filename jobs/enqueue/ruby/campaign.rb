# Gives Remesa a job, waits for its end, reads the results: ruby campaign.rb JOB.json [REDIS_URL]
require 'json'
require 'redis'
require 'socket'
QUEUE, RESULTS, GROUP = 'remesa:jobs:generate', 'remesa:results', 'my-crm'

# The job's status, once our entry has left the queue (before, it may be an older job's) and the job has ended.
def ended(db, id, entry)
  3000.times do
    if db.xrange(QUEUE, entry, entry).empty? # an id that another job holds is refused under the entry's name
      status = ["generate:#{entry}", id].map { |name| db.hgetall("remesa:job:#{name}") }.find(&:any?) || {}
      return status if %w[done dead rejected].include?(status['state'])
    end
    sleep 0.2
  end
  raise "#{id} has not ended after 10 minutes"
end

# Yields each event and then acknowledges them, until the run is over and nothing is left.
def read_results(db, run_key)
  begin
    db.xgroup(:create, RESULTS, GROUP, '0', mkstream: true)
  rescue Redis::CommandError => e
    raise unless e.message.start_with?('BUSYGROUP') # else it is there already
  end
  loop do
    over = db.hget(run_key, 'state') != 'running'
    count = ['0', '>'].sum do |cursor| # what this consumer took and did not acknowledge, then what is new
      reply = db.xreadgroup(GROUP, Socket.gethostname, RESULTS, cursor, count: 100, block: 1000)
      entries = reply.fetch(RESULTS, []).each { |_, event| yield event if event }
      entries.empty? ? 0 : db.xack(RESULTS, GROUP, entries.map(&:first))
    end
    return if over && count.zero?
  end
end
job = JSON.parse(File.read(ARGV[0]))
db = Redis.new(url: ARGV[1] || ENV.fetch('REDIS_URL', 'redis://127.0.0.1:6379'), reconnect_attempts: 5)
status = ended(db, job['id'], db.xadd(QUEUE, { job: job.to_json })) # tried again: the id makes it safe
abort "#{job['id']} is #{status.values_at('state', 'error_code', 'error').join(': ')}" unless status['state'] == 'done'
read_results(db, "remesa:{#{job['campaign']}}:run:#{status['run']}") { |event| puts event['data'] }
