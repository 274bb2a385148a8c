# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Row "cache hit": each request is answered from memory. Sourced by run.sh. What is stored lasts
# an hour; logs are off; each cache is asked to leave Authorization out of what it looks at,
# once it has checked it.

hit_path=/v1/auth/session # of an operation with a cache rule
hit_measurements=5        # a round

start_hit_psgate() {
    cat >"$folder/operations.json" <<END
{ "operations": [ { "id": "getSession", "method": "GET", "path": "$hit_path",
                    "cache": { "scope": "session", "ttl": "1h" } } ] }
END
    start_psgate hit "\"url\": \"$responder_url\"" '"operations_file": "operations.json",'
    psgate_hit_pid=$server_pid psgate_hit_url=$server_url
}

start_hit_nginx() {
    local port
    port=$(free_port)
    write_nginx_config cache <<END
    map \$http_authorization \$is_known { default 0; "Bearer $token" 1; }
    proxy_cache_path $memory/nginx levels=1:2 keys_zone=hits:1m max_size=16m inactive=1h
                     use_temp_path=off;
    open_file_cache max=100 inactive=1h;
    open_file_cache_valid 1h;
    upstream plain { server ${responder_url#http://}; keepalive 64; }
    server {
        listen 127.0.0.1:$port;
        location / {
            if (\$is_known = 0) { return 401; }
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer $key";
            proxy_cache hits;
            proxy_cache_key \$request_uri;
            proxy_cache_valid 200 1h;
            proxy_pass http://plain;
        }
    }
END
    start_nginx cache "$server_core"
    nginx_hit_pid=$nginx_worker_pid nginx_hit_url=http://127.0.0.1:$port
}

# It stores nothing that says neither how long it lasts nor how to validate it; the responder
# knows the field's name in one spelling.
start_hit_haproxy() {
    local port
    port=$(free_port)
    cat >"$folder/haproxy.conf" <<END
global
    nbthread 1
    maxconn 1000
    h1-case-adjust authorization Authorization
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
cache hits
    total-max-size 16
    max-object-size 65536
    max-age 3600
frontend clients
    bind 127.0.0.1:$port
    acl is_known req.hdr(Authorization) -m str "Bearer $token"
    http-request return status 401 unless is_known
    http-request del-header Authorization
    http-request cache-use hits
    http-request set-header Authorization "Bearer $key"
    http-response set-header Cache-Control max-age=3600
    http-response cache-store hits
    default_backend upstream
    option h1-case-adjust-bogus-server
backend upstream
    option h1-case-adjust-bogus-server
    server responder ${responder_url#http://}
END
    start_on_port haproxy "$port" haproxy -db -f "$folder/haproxy.conf"
    haproxy_hit_pid=$server_pid haproxy_hit_url=http://127.0.0.1:$port
}

# What it would log about a hit.
varnish_log_tags=(
    Begin End Link Timestamp ReqStart ReqMethod ReqURL ReqProtocol ReqHeader ReqUnset ReqAcct Hit
    RespProtocol RespStatus RespReason RespHeader RespUnset Filters VCL_call VCL_return VCL_use
)

# It is made of threads: one pool of them, a thread for each connection and some to spare. The
# child of the process that we start does the work.
start_hit_varnish() {
    local port mask address=${responder_url#http://}
    port=$(free_port)
    printf -v mask ',-%s' "${varnish_log_tags[@]}"
    cat >"$folder/varnish.vcl" <<END
vcl 4.1;
backend responder { .host = "${address%:*}"; .port = "${address##*:}"; }
sub vcl_recv {
    if (req.http.Authorization != "Bearer $token") { return (synth(401)); }
    unset req.http.Authorization;
    return (hash);
}
sub vcl_backend_fetch { set bereq.http.Authorization = "Bearer $key"; }
sub vcl_backend_response { set beresp.ttl = 1h; }
END
    start_on_port varnish "$port" varnishd -F -j none -n "$memory/varnish" -a "127.0.0.1:$port" \
        -f "$folder/varnish.vcl" -s malloc,16m -p thread_pools=1 \
        -p "thread_pool_min=$((connections + 36))" -p "thread_pool_max=$((connections + 136))" \
        -p "vsl_mask=${mask#,}"
    varnish_hit_pid=$(first_child "$server_pid") varnish_hit_url=http://127.0.0.1:$port
    [[ -n $varnish_hit_pid ]] || die "varnish has no child"
}

# The ceiling takes the token itself, and runs where the caches run.
start_hit_servers() {
    start_hit_psgate
    start_hit_nginx
    start_hit_haproxy
    start_hit_varnish
    start_responder "$server_core" "$token"
    ceiling_pid=$server_pid ceiling_url=$server_url
}

# The first request stores the answer.
check_hit_servers() {
    local url before status
    for url in "$psgate_hit_url" "$nginx_hit_url" "$haproxy_hit_url" "$varnish_hit_url"; do
        fetch_with "$token" "$url$hit_path" >/dev/null
        before=$(reached "$responder_count")
        check_job "$url$hit_path"
        (($(reached "$responder_count") - before == 1)) || die "$url$hit_path is not answered from its cache"
    done
    status=$(fetch_with "$token" -D - -o /dev/null "$psgate_hit_url$hit_path" |
        sed -n 's/\r$//; s/^cache-status: *//Ip')
    [[ $status == 'psgate; hit'* ]] || die "psgate calls its hit: ${status:-nothing}"
    check_job "$ceiling_url$hit_path"
}

# measure_hit SERVER PID URL: asking for the count is the one request that the upstream may see.
measure_hit() {
    local before
    before=$(reached "$responder_count")
    measure "cache hit" "$1" "$2" "$3$hit_path" "$token"
    (($(reached "$responder_count") - before == 1)) || die "$1: not each answer was a hit"
}

measure_hit_round() {
    measure_hit psgate "$psgate_hit_pid" "$psgate_hit_url"
    measure_hit nginx "$nginx_hit_pid" "$nginx_hit_url"
    measure_hit haproxy "$haproxy_hit_pid" "$haproxy_hit_url"
    measure_hit varnish "$varnish_hit_pid" "$varnish_hit_url"
    measure_hit responder "$ceiling_pid" "$ceiling_url"
}
