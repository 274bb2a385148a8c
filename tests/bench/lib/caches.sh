# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Starting the caches: psgate, nginx, HAProxy and Varnish, plain and with TLS (Varnish has none).
# Sourced by run.sh. What is stored lasts an hour; logs are off; each cache is asked to leave
# Authorization out of what it looks at, once it has checked it.

hit_path=/v1/auth/session                    # of an operation with a cache rule
declare -A cache_pid cache_url cache_tls_url # by name

# start_cache_NAME [FILES]: FILES is what its files are called, where there are two of a kind.
start_cache_psgate() {
    start_psgate "${1:-hit}" "\"url\": \"$responder_url\"" '"operations_file": "operations.json",'
    cache_pid[psgate]=$server_pid cache_url[psgate]=$server_url cache_tls_url[psgate]=$server_tls_url
}

start_cache_nginx() {
    local port tls_port name=${1:-cache}
    port=$(free_port)
    tls_port=$(free_port)
    write_nginx_config "$name" <<END
    map \$http_authorization \$is_known { default 0; "Bearer $token" 1; }
    proxy_cache_path $memory/nginx-$name levels=1:2 keys_zone=hits:1m max_size=16m inactive=1h
                     use_temp_path=off;
    open_file_cache max=100 inactive=1h;
    open_file_cache_valid 1h;
    upstream plain { server ${responder_url#http://}; keepalive 64; }
    server {
        listen 127.0.0.1:$port;
        listen 127.0.0.1:$tls_port ssl;
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
    start_nginx "$name" "$server_core"
    cache_pid[nginx]=$nginx_worker_pid
    cache_url[nginx]=http://127.0.0.1:$port cache_tls_url[nginx]=https://localhost:$tls_port
}

# It stores nothing that says neither how long it lasts nor how to validate it; the responder
# knows the field's name in one spelling.
start_cache_haproxy() {
    local port tls_port name=${1:-haproxy}
    port=$(free_port)
    tls_port=$(free_port)
    cat >"$folder/$name.conf" <<END
global
    nbthread 1
    maxconn 9000
    h1-case-adjust authorization Authorization
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1m
cache hits
    total-max-size 16
    max-object-size 65536
    max-age 3600
frontend clients
    bind 127.0.0.1:$port
    bind 127.0.0.1:$tls_port ssl crt $folder/both.pem
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
    start_on_port "$name" "$port" haproxy -db -f "$folder/$name.conf"
    cache_pid[haproxy]=$server_pid
    cache_url[haproxy]=http://127.0.0.1:$port cache_tls_url[haproxy]=https://localhost:$tls_port
}

# What it would log about a hit.
varnish_log_tags=(
    Begin End Link Timestamp ReqStart ReqMethod ReqURL ReqProtocol ReqHeader ReqUnset ReqAcct Hit
    RespProtocol RespStatus RespReason RespHeader RespUnset Filters VCL_call VCL_return VCL_use
)

# It is made of threads: one pool of them, a thread for each connection and some to spare. The
# child of the process that we start does the work.
start_cache_varnish() {
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
    cache_pid[varnish]=$(first_child "$server_pid") cache_url[varnish]=http://127.0.0.1:$port
    [[ -n ${cache_pid[varnish]} ]] || die "varnish has no child"
}

# need_cache NAME...: started once, for all rows.
need_cache() {
    local name
    for name in "$@"; do
        [[ -n ${cache_pid[$name]:-} ]] || "start_cache_$name"
    done
}

# check_cache URL: the first request stores the answer, and the next does not reach the upstream.
check_cache() {
    local before
    fetch_with "$token" "$1$hit_path" >/dev/null
    before=$(reached "$responder_count")
    check_job "$1$hit_path"
    (($(reached "$responder_count") - before == 1)) || die "$1$hit_path is not answered from its cache"
}

# Not told apart by what a server prefers: the same protocol, cipher and curve with all.
check_tls_alike() {
    local name agreed first=''
    for name in "$@"; do
        agreed=$(agreed_tls "${cache_tls_url[$name]}")
        [[ $agreed == TLSv1.3* ]] || die "$name agrees on: ${agreed:-nothing}"
        [[ -z $first || $agreed == "$first" ]] || die "$name agrees on $agreed, others on $first"
        first=$agreed
    done
    [[ ${tls_said:-} == "$first" ]] || fact TLS "$first with all, ECDSA P-256 certificate"
    tls_said=$first
}
