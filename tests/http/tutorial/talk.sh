curl --location --request POST 'https://api.voipbin.net/v1.0/calls?token=TOKEN' \
    --header 'Content-Type: application/json' \
    --data-raw '{
        "source": {
            "type": "tel",
            "target": "+821028286521"
        },
        "destination": {
            "type": "tel",
            "target": "+821021656521"
        },
        "actions": [
            {
                "type": "talk",
                "option": {
                    "text": "hello. welcome to voipbin. This is test message. This audio file is generated dynamically by the tts module. Please enjoy the voipbin service. Thank you. Bye",
                    "gender": "female",
                    "language": "en-US"
                }
            }
        ]
    }'
