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
            "type": "play",
            "option": {
                "stream_urls": [
                    "https://github.com/pchero/asterisk-medias/raw/master/samples_codec/pcm_samples/example-mono_16bit_8khz_pcm.wav"
                ]
            }
        }
    ]
}'
