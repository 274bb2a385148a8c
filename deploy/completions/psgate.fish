# Completion of psgate(1) for fish: goes into /usr/share/fish/vendor_completions.d.

# __psgate_is COMMAND [VERB]: whether that is what the command line is about.
function __psgate_is
    set -l words (commandline -opc)
    set -l last (math (count $argv) + 1)
    test (count $words) -ge $last; and test "$words[2..$last]" = "$argv"
end

# Whether the word under way is the first one, or the first one behind a command.
function __psgate_needs_command
    test (count (commandline -opc)) -eq 1
end

function __psgate_needs_verb
    __psgate_is $argv; and test (count (commandline -opc)) -eq 2
end

# __psgate_value OPTION...: the last value that the command line gives for one of them.
function __psgate_value
    set -l words (commandline -opc)
    set -l value
    for i in (seq (count $words))
        for option in $argv
            if test "$words[$i]" = $option
                set value $words[(math $i + 1)]
            else if string match -q -- "$option=*" $words[$i]
                set value (string replace -- "$option=" '' $words[$i])
            end
        end
    end
    string replace -r '^~/' "$HOME/" -- $value
end

# __psgate_members MEMBER FILE: the strings that a JSON file has for it.
function __psgate_members
    grep -o "\"$argv[1]\"[[:space:]]*:[[:space:]]*\"[^\"\\\\]*\"" -- $argv[2] 2>/dev/null | string replace -r '.*"([^"]*)"$' '$1'
end

# The names in the clients file that --clients, or the configuration, names.
function __psgate_names
    set -l file (__psgate_value --clients)
    if test -z "$file"
        set -l config (__psgate_value -c --config)
        test -n "$config"; or set config /etc/psgate/psgate.json
        set file (__psgate_members clients_file $config)
        string match -q '/*' -- $file; or set file (dirname $config)/$file
    end
    __psgate_members name $file | sort -u
end

# __psgate_list WORD...: behind the last comma of the word under way.
function __psgate_list
    set -l typed (string replace -r '^--[a-z-]+=' '' -- (commandline -ct))
    set -l before (string match -r '.*,' -- $typed)
    printf "$before%s\n" $argv
end

# The ids of the built-in operation table, for --allow, --deny and --action.
function __psgate_operations
    printf '%s\n' \
        getSession listTeamMembers updateTeamMember removeTeamMember listTeamSecrets \
        createTeamSecret getTeamSecret updateTeamSecret deleteTeamSecret createProjectSecret \
        updateProjectSecret deleteProjectSecret createContainerRegistry updateContainerRegistry \
        deleteContainerRegistry createStorageProvider updateStorageProvider deleteStorageProvider \
        manageApiTokens manageApiTokensV1 manageApiToken manageApiTokenV1 logIn logInV1 \
        manageApiKeys manageTeamApiKeys other
end

complete -c psgate -f

complete -c psgate -n __psgate_needs_command -a serve -d 'run the gateway'
complete -c psgate -n __psgate_needs_command -a check -d 'validate a configuration, print every problem'
complete -c psgate -n __psgate_needs_command -a token -d 'create, list and revoke the tokens of clients'
complete -c psgate -n __psgate_needs_command -a audit -d 'verify, search and follow the audit trail'
complete -c psgate -n __psgate_needs_command -a sandbox -d 'run the stand-in for api.paperspace.com'
complete -c psgate -n __psgate_needs_command -l version -d 'show the version'
complete -c psgate -s h -l help -d 'show the options'

for command in serve check
    complete -c psgate -n "__psgate_is $command" -s c -l config -rF -d 'the configuration'
end

complete -c psgate -n '__psgate_is serve' -l sandbox -d 'serve in front of a built-in sandbox'
complete -c psgate -n '__psgate_is serve' -l unconfined -d 'keep files, system calls and capabilities within reach'

complete -c psgate -n '__psgate_is check' -l offline -d 'do not contact the upstream, nor Redis'
complete -c psgate -n '__psgate_is check' -l explain -xa 'GET HEAD OPTIONS POST PUT PATCH DELETE' -d 'say what would be done with a request'
complete -c psgate -n '__psgate_is check' -l client -xa '(__psgate_names)' -d 'whose request it is'

complete -c psgate -n '__psgate_needs_verb token' -a create -d 'make a token'
complete -c psgate -n '__psgate_needs_verb token' -a list -d 'show the clients'
complete -c psgate -n '__psgate_needs_verb token' -a revoke -d 'end the tokens of a client'
for verb in create list revoke
    complete -c psgate -n "__psgate_is token $verb" -l clients -rF -d 'the clients file'
    complete -c psgate -n "__psgate_is token $verb" -l name -xa '(__psgate_names)' -d 'the client'
end
complete -c psgate -n '__psgate_is token create' -l allow -xa '(__psgate_list (__psgate_operations))' -d 'what it may do'
complete -c psgate -n '__psgate_is token create' -l deny -xa '(__psgate_list (__psgate_operations))' -d 'what it may not do'
complete -c psgate -n '__psgate_is token create' -l expires -xa '7d 30d 90d 365d' -d 'how long the token is good'
complete -c psgate -n '__psgate_is token create' -l credential -x -d 'the API key it uses'
complete -c psgate -n '__psgate_is token create' -l team -x -d 'a team it may act on'
complete -c psgate -n '__psgate_is token create' -l admin -d 'it may use the admin endpoint'
complete -c psgate -n '__psgate_is token list' -l json -d 'list as JSON'

complete -c psgate -n '__psgate_needs_verb audit' -a verify -d 'find whatever was changed in a trail'
complete -c psgate -n '__psgate_needs_verb audit' -a search -d 'show the mutations that match'
complete -c psgate -n '__psgate_needs_verb audit' -a tail -d 'show the last mutations, and follow'
complete -c psgate -n '__psgate_needs_verb audit' -a keygen -d 'make the key pair that signs checkpoints'
for verb in verify search tail keygen
    complete -c psgate -n "__psgate_is audit $verb" -a '(__fish_complete_directories)'
end
complete -c psgate -n '__psgate_is audit verify' -l public-key -rF -d 'the key of the signatures'
complete -c psgate -n '__psgate_is audit verify' -l checkpoint -rF -d 'a checkpoint that must be in the trail'
for verb in search tail
    complete -c psgate -n "__psgate_is audit $verb" -l since -xa '1h 24h 7d 30d' -d 'asked for at that time or later'
    complete -c psgate -n "__psgate_is audit $verb" -l until -xa '1h 24h 7d 30d' -d 'asked for at that time or earlier'
    complete -c psgate -n "__psgate_is audit $verb" -l action -xa '(__psgate_operations)' -d 'the operation'
    complete -c psgate -n "__psgate_is audit $verb" -l user -x -d 'the client'
    complete -c psgate -n "__psgate_is audit $verb" -l resource -x -d 'the name of the secret, the id of the member, or the path'
    complete -c psgate -n "__psgate_is audit $verb" -l source -x -d 'the IP address of the client'
    complete -c psgate -n "__psgate_is audit $verb" -l event-id -x -d 'the one mutation'
    complete -c psgate -n "__psgate_is audit $verb" -l outcome -xa '(__psgate_list success failure refused unknown unfinished)' -d 'how it ended'
    complete -c psgate -n "__psgate_is audit $verb" -l json -d 'a JSON object a line'
end
complete -c psgate -n '__psgate_is audit tail' -s n -l lines -x -d 'how many'
complete -c psgate -n '__psgate_is audit tail' -s f -l follow -d 'go on with new ones'

complete -c psgate -n '__psgate_is sandbox' -l listen -x -d 'where'
complete -c psgate -n '__psgate_is sandbox' -l api-key-file -rF -d 'the key that is right'
complete -c psgate -n '__psgate_is sandbox' -l delay -xa '50ms 250ms 1s' -d 'hold each answer back'
complete -c psgate -n '__psgate_is sandbox' -l fail-rate -x -d 'answer this share of requests with 500'
