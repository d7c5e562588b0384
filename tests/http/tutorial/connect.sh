curl -k --location --request POST 'https://api.voipbin.net/v1.0/calls?token=TOKEN' \
--header 'Content-Type: application/json' \
--header 'Cookie: token=TOKEN' \
--data-raw '{
    "source": {
        "type": "tel",
        "target": "+821021656521"
    },
    "destination": {
        "type": "tel",
        "target": "+821021656521"
    },
    "actions": [
        {
            "type": "talk",
            "option": {
                "text": "hello. welcome to voipbin. This is test message. This audio file is generated dynamically by the tts module. Please enjoy the voipbin service.",
                "gender": "female",
                "language": "en-US"
            }
        },
        {
            "type": "connect",
            "option": {
                "source": {
                    "type": "tel",
                    "target": "+821021656521"
                },
                "destinations": [
                    {
                        "type": "tel",
                        "target": "+821043126521"
                    }
                ]
            }
        }
    ]
}'
