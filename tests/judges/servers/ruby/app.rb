# Rack's URLMap by prefix, and Sinatra with an optional format, both on Puma.
# Argument: "urlmap PORT" or "sinatra PORT".
require 'json'
require 'psych'
require 'rack'
require 'puma'
require 'puma/server'
require 'puma/events'

kind, port = ARGV

module Judge
  module_function

  def ran(handler)
    [200, { 'content-type' => 'application/json', 'x-ran' => handler }, [JSON.generate(handler: handler)]]
  end

  def answer(handler)
    ->(_env) { ran(handler) }
  end

  # Every value that an application may find under op, as Rack reads it: a hash
  # or a list where the name has brackets, and JSON or YAML where it is labeled.
  def values(req)
    op = req.params['op']
    found = op.is_a?(Array) ? op : op.is_a?(Hash) ? op.values : op.nil? ? [] : [op]
    type = req.media_type.to_s
    body = whole(req)
    parsed = type.include?('json') ? JSON.parse(body) : type.include?('yaml') ? Psych.safe_load(body) : nil
    found << parsed['op'] if parsed.is_a?(Hash) && parsed.key?('op')
    found.flatten
  rescue JSON::ParserError, Psych::Exception, ArgumentError
    found || []
  end

  def whole(req)
    req.body.rewind
    body = req.body.read
    req.body.rewind
    body
  end

  def method(req)
    parsed = JSON.parse(whole(req))
    parsed.is_a?(Hash) ? parsed['method'] : nil
  rescue JSON::ParserError, ArgumentError, EncodingError
    nil
  end

  def form(req) = ran(values(req).any? { |v| %w[withdraw pay].include?(v) } ? 'FORM' : 'PUBLIC')
  def neg(req) = ran(values(req).any? { |v| v != 'login' } ? 'NEG' : 'PUBLIC')
  def rpc(req) = ran(method(req) == 'torrent-remove' ? 'RPC' : 'PUBLIC')
  def rpcneg(req) = ran(![nil, 'torrent-get'].include?(method(req)) ? 'RPCNEG' : 'PUBLIC')

  # bad answers what the application would answer with an error.
  def guarded(app)
    lambda do |env|
      app.call(env)
    rescue StandardError
      [400, { 'x-ran' => 'PUBLIC' }, ['error']]
    end
  end
end

def urlmap
  on = ->(judge) { ->(env) { Judge.public_send(judge, Rack::Request.new(env)) } }
  item = ->(env) { Judge.ran(env['REQUEST_METHOD'] == 'DELETE' ? 'ERASE' : 'PUBLIC') }
  exact = ->(env) { Judge.ran(['', '/'].include?(env['PATH_INFO']) ? 'EXACT' : 'PUBLIC') }
  Rack::MethodOverride.new(Rack::URLMap.new(
    '/admin/graphql' => Judge.answer('ADMIN'), '/admin' => Judge.answer('ADMIN'),
    '/transfer' => Judge.answer('TRANSFER'), '/view' => Judge.answer('VIEW'), '/exact' => exact, '/item' => item,
    '/app' => on[:form], '/neg' => on[:neg], '/rpc' => on[:rpc], '/rpcneg' => on[:rpcneg], '/' => Judge.answer('PUBLIC')
  ))
end

def sinatra
  require 'sinatra/base'
  Class.new(Sinatra::Base) do
    set :protection, false
    set :show_exceptions, false
    set :raise_errors, true
    set :method_override, true
    verbs = %w[GET HEAD POST PUT PATCH DELETE OPTIONS]
    all = lambda do |path, &judge|
      verbs.each { |verb| route(verb, path) { judge.call(request) } }
    end
    all.call('/admin') { Judge.ran('ADMIN') }
    all.call('/admin/*') { Judge.ran('ADMIN') }
    all.call('/transfer/:what.?:format?') { Judge.ran('TRANSFER') }
    all.call('/exact.?:format?') { Judge.ran('EXACT') }
    all.call('/view/:id') { Judge.ran('VIEW') }
    route('DELETE', '/item/:id') { Judge.ran('ERASE') }
    all.call('/app') { |r| Judge.form(r) }
    all.call('/neg') { |r| Judge.neg(r) }
    all.call('/rpc') { |r| Judge.rpc(r) }
    all.call('/rpcneg') { |r| Judge.rpcneg(r) }
    not_found { Judge.ran('PUBLIC') }
  end
end

app = Judge.guarded(kind == 'sinatra' ? sinatra : urlmap)
events = Puma::Events.respond_to?(:null) ? Puma::Events.null : Puma::Events.new # version 5, 6
server = Puma::Server.new(app, events, { min_threads: 4, max_threads: 32, persistent_timeout: 120 })
server.add_tcp_listener('127.0.0.1', port.to_i)
server.run.join
