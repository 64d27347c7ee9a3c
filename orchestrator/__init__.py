"""The negotiation core: who is asked, what a round is and how its answers become one decision."""
