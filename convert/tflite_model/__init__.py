"""Reading TFLite files: flatbuffer, operators, inspection."""
