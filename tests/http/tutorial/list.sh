curl -k --location --request GET 'https://api.voipbin.net/v1.0/calls?token=TOKEN'
