# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "1 MiB up", "1 MiB down": bodies of 1 MiB are passed on. nginx has larger buffers here than
# by default, and no file in between: as an operator would set it for this.

bodies_measurements=4 # a round
bodies_up_path=/v1/other/uploads
bodies_down_path=/v1/big

start_bodies() {
    local port
    port=$(free_port)
    write_nginx_config bodies <<END
    map \$http_authorization \$is_known { default 0; "Bearer $token" 1; }
    upstream plain { server ${responder_url#http://}; keepalive 64; keepalive_requests 1000000000; }
    server {
        listen 127.0.0.1:$port;
        location / {
            if (\$is_known = 0) { return 401; }
            client_max_body_size 2m;
            client_body_buffer_size 64k;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer $key";
            proxy_request_buffering off;
            proxy_buffers 8 64k;
            proxy_busy_buffers_size 128k;
            proxy_max_temp_file_size 0;
            proxy_pass http://plain;
        }
    }
END
    start_nginx bodies "$server_core"
    bodies_nginx_pid=$nginx_worker_pid bodies_nginx_url=http://127.0.0.1:$port
    start_psgate bodies "\"url\": \"$responder_url\""
    bodies_psgate_pid=$server_pid bodies_psgate_url=$server_url
}

check_bodies() {
    local url bytes
    for url in "$bodies_psgate_url" "$bodies_nginx_url"; do
        bytes=$(fetch_with "$token" "$url$bodies_down_path" | wc -c)
        ((bytes == 1048576)) || die "$url sends $bytes bytes instead of 1 MiB"
        bytes=$(head -c 1048576 /dev/zero |
            fetch_with "$token" --data-binary @- -o /dev/null -w '%{http_code}' "$url$bodies_up_path")
        ((bytes == 200)) || die "$url answers 1 MiB with $bytes"
    done
}

# measure_bodies ROW SERVER PID URL [OPTION...]
measure_bodies() {
    local before
    before=$(reached "$responder_count")
    measure "$1" "$2" "$3" "$4" "$token" "${@:5}"
    (($(reached "$responder_count") - before >= measured_requests)) ||
        die "$2 ($1): not each of its $measured_requests bodies was passed on"
}

measure_bodies_round() {
    measure_bodies "1 MiB up" psgate "$bodies_psgate_pid" "$bodies_psgate_url$bodies_up_path" -X POST -b 1048576
    measure_bodies "1 MiB up" nginx "$bodies_nginx_pid" "$bodies_nginx_url$bodies_up_path" -X POST -b 1048576
    measure_bodies "1 MiB down" psgate "$bodies_psgate_pid" "$bodies_psgate_url$bodies_down_path" -X GET
    measure_bodies "1 MiB down" nginx "$bodies_nginx_pid" "$bodies_nginx_url$bodies_down_path" -X GET
}
