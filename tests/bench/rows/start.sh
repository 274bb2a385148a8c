# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "start", "start, N clients": from exec to the first answer, which comes from the upstream; and
# the memory that is resident then.

start_measurements=3 # a round

start_start() {
    python3 "$here/tools/clients.py" "$folder/clients.json" "$folder/clients-start.json" "$many_clients"
    fact "clients file" "$(stat -c %s "$folder/clients-start.json") bytes with $many_clients clients"
}

check_start() { :; }

# measure_start ROW SERVER PORT COMMAND...
measure_start() {
    local ms kib
    read -r ms kib < <(python3 "$here/tools/start.py" "$server_core" "$3" "$hit_path" "$token" "${@:4}") ||
        die "$2 ($1) did not start"
    record "$1" "$2" start_ms "$ms" resident_mib "$(compute %.3f "$kib / 1024")"
}

measure_start_psgate() {
    local port tls_port
    port=$(free_port)
    tls_port=$(free_port)
    write_psgate_config start "\"url\": \"$responder_url\"" '' "$tls_port" "$port"
    measure_start "$1" psgate "$port" "$binary" serve -c "$folder/start.json"
}

measure_start_nginx() {
    local port
    port=$(free_port)
    write_nginx_config start <<END
    map \$http_authorization \$is_known { default 0; "Bearer $token" 1; }
    server {
        listen 127.0.0.1:$port;
        location / {
            if (\$is_known = 0) { return 401; }
            proxy_set_header Authorization "Bearer $key";
            proxy_pass $responder_url;
        }
    }
END
    measure_start start nginx "$port" nginx -e "$folder/start.log" -c "$folder/start.conf"
}

measure_start_round() {
    measure_start_psgate start
    measure_start_nginx
    local psgate_clients=clients-start.json
    measure_start_psgate "start, many clients"
}
