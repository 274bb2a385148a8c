# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "pass, plain", "pass, TLS": each request is passed on, to a plain and to a TLS upstream;
# beside them the upstream by itself. Sourced by run.sh.

pass_path=/v1/teams/bench/secrets # of an operation without a cache rule
pass_measurements=5               # a round

# The responder has no TLS: nginx stands in, with the same answer to the same key.
start_tls_upstream() {
    tls_port=$(free_port)
    write_nginx_config upstream <<END
    server {
        listen 127.0.0.1:$tls_port ssl;
        default_type application/json;
        location / {
            if (\$http_authorization != "Bearer $key") { return 401; }
            return 200 '$body';
        }
        location = /count { stub_status; }
    }
END
    start_nginx upstream "$load_core"
}

start_nginx_proxy() {
    nginx_plain_port=$(free_port)
    nginx_tls_port=$(free_port)
    write_nginx_config proxy <<END
    map \$http_authorization \$is_known { default 0; "Bearer $token" 1; }
    upstream plain { server ${responder_url#http://}; keepalive 64; keepalive_requests 1000000000; }
    upstream tls { server 127.0.0.1:$tls_port; keepalive 64; keepalive_requests 1000000000; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Authorization "Bearer $key";
    server {
        listen 127.0.0.1:$nginx_plain_port;
        location / {
            if (\$is_known = 0) { return 401; }
            proxy_pass http://plain;
        }
    }
    server {
        listen 127.0.0.1:$nginx_tls_port;
        location / {
            if (\$is_known = 0) { return 401; }
            proxy_pass https://tls;
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
            proxy_ssl_trusted_certificate $folder/ca.pem;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_ssl_verify on;
            proxy_ssl_session_reuse on;
        }
    }
END
    start_nginx proxy "$server_core"
    nginx_pid=$nginx_worker_pid
    nginx_plain_url=http://127.0.0.1:$nginx_plain_port
    nginx_tls_url=http://127.0.0.1:$nginx_tls_port
}

start_pass() {
    start_tls_upstream
    start_nginx_proxy
    start_psgate plain "\"url\": \"$responder_url\""
    psgate_plain_pid=$server_pid psgate_plain_url=$server_url
    start_psgate tls "\"url\": \"https://localhost:$tls_port\", \"ca_file\": \"ca.pem\""
    psgate_tls_pid=$server_pid psgate_tls_url=$server_url
    tls_count=https://localhost:$tls_port/count
}

check_pass() {
    local url
    for url in "$psgate_plain_url" "$nginx_plain_url" "$psgate_tls_url" "$nginx_tls_url"; do
        check_job "$url$pass_path"
        load_wrk "$url$pass_path" "$token" "$seconds" >/dev/null # fills the pools
    done
}

# measure_pass ROW SERVER PID URL COUNT-URL [TOKEN]: what was not passed on does not count.
measure_pass() {
    local before
    before=$(reached "$5")
    measure "$1" "$2" "$3" "$4$pass_path" "${6:-$token}"
    (($(reached "$5") - before >= measured_requests)) ||
        die "$2 ($1): not each of its $measured_requests answers came from the upstream"
}

measure_pass_round() {
    measure_pass "pass, plain" psgate "$psgate_plain_pid" "$psgate_plain_url" "$responder_count"
    measure_pass "pass, plain" nginx "$nginx_pid" "$nginx_plain_url" "$responder_count"
    measure_pass "pass, TLS" psgate "$psgate_tls_pid" "$psgate_tls_url" "$tls_count"
    measure_pass "pass, TLS" nginx "$nginx_pid" "$nginx_tls_url" "$tls_count"
    measure_pass "pass, none" responder "$responder_pid" "$responder_url" "$responder_count" "$key"
}
